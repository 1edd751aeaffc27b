//! Golden octets and round trips of every record.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::ids::PackId;

#[test]
fn message_row_golden() {
    let record = MessageRecord {
        flags: flag::SEEN | flag::DRAFT,
        internal_zone: -90,
        blob: 0x0102,
        prefix: 3,
        keywords: 1 << 63,
        modseq: 9,
        internal_date: -1,
        size: 10,
        prefix_len: 4,
        thread: 0,
        saved: 0x0a0b_0c0d,
    };
    let bytes = record.encode();
    let hex: String = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(
        hex,
        "0211a6ff02010000000000000300000000000000000000000000008009000000\
         00000000ffffffffffffffff0a0000000400000000000000000000000d0c0b0a"
    );
    assert_eq!(MessageRecord::decode(&bytes).unwrap(), record);
    const { assert!(MessageRecord::OCTETS <= 64) };
}

#[test]
fn every_record_round_trips_and_refuses_cuts() {
    let mailbox = MailboxRecord {
        uid_validity: 1,
        uid_next: 2,
        recent_from: 3,
        messages: 4,
        unseen: 5,
        deleted: 6,
        size: 7,
        highest_modseq: 8,
        special_use: "\\Sent".into(),
        name: "Sent".into(),
    };
    assert_eq!(MailboxRecord::decode(&mailbox.encode()).unwrap(), mailbox);
    let name = NameRecord {
        mailbox: 4,
        subscribed: true,
        name: "a/b".into(),
    };
    assert_eq!(NameRecord::decode(&name.encode()).unwrap(), name);
    let blob = BlobRecord {
        pack: PackId::new(1, 2),
        offset: 3,
        length: 4,
        raw_len: 5,
        references: 6,
        digest: [7; 16],
    };
    assert_eq!(BlobRecord::decode(&blob.encode()).unwrap(), blob);
    let queue = QueueRecord {
        blob: 1,
        due: 5,
        state: vec![1, 2, 3],
        ..QueueRecord::default()
    };
    assert_eq!(QueueRecord::decode(&queue.encode()).unwrap(), queue);
    let pack = PackRecord {
        state: PackState::Sealed,
        live: 1,
        synced: 2,
        blobs: 3,
        journal: 4,
        first_blob: 5,
        last_blob: 6,
        sealed: 7,
    };
    assert_eq!(PackRecord::decode(&pack.encode()).unwrap(), pack);
    let account = AccountRecord {
        removing: true,
        highest_modseq: 3,
        octets: 4,
        group: "example.org".into(),
        ..AccountRecord::default()
    };
    assert_eq!(AccountRecord::decode(&account.encode()).unwrap(), account);
    assert_eq!(
        Counters::decode(&Counters::default().encode()).unwrap(),
        Counters::default()
    );
    fn refuses_cuts<T>(bytes: &[u8], decode: fn(&[u8]) -> Option<T>) {
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_none(), "{cut}");
        }
        assert!(decode(&[bytes, &[0]].concat()).is_none());
    }
    refuses_cuts(&mailbox.encode(), MailboxRecord::decode);
    refuses_cuts(&name.encode(), NameRecord::decode);
    refuses_cuts(&blob.encode(), BlobRecord::decode);
    refuses_cuts(&pack.encode(), PackRecord::decode);
    refuses_cuts(&account.encode(), AccountRecord::decode);
    refuses_cuts(&queue.encode(), QueueRecord::decode);
    let change = ChangeRecord {
        kind: ChangeKind::Flags,
        mailbox: 9,
        uids: vec![(1, 4), (9, 9)],
    };
    assert_eq!(ChangeRecord::decode(&change.encode()).unwrap(), change);
    let group = GroupRecord {
        messages: 1,
        octets: 2,
        limit_messages: 3,
        limit_octets: 4,
    };
    assert_eq!(GroupRecord::decode(&group.encode()).unwrap(), group);
    refuses_cuts(&group.encode(), GroupRecord::decode);
    let retained = RetainedRecord {
        message: MessageRecord {
            blob: 7,
            ..MessageRecord::default()
        },
        name: "Trash".into(),
    };
    assert_eq!(RetainedRecord::decode(&retained.encode()).unwrap(), retained);
    refuses_cuts(&retained.encode(), RetainedRecord::decode);
    let doomed = DoomedRecord {
        account: 3,
        name: "Old".into(),
    };
    assert_eq!(DoomedRecord::decode(&doomed.encode()).unwrap(), doomed);
    refuses_cuts(&doomed.encode(), DoomedRecord::decode);
}
