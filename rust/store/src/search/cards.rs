//! Cards in the order in which rows name their blobs, by one cursor: a card costs a step instead of a descent of the tree.

use std::ops::Bound;

use crate::db::keys;
use crate::db::tables::{ReadTxn, Table};
use crate::error::Result;
use crate::ids::BlobId;

/// Cards passed over before the cursor is placed anew: about what one descent costs.
const SKIPPED_MAX: u32 = 8;

type Row<'t> = (u64, &'t [u8]);
type Rows<'t> = Box<dyn Iterator<Item = heed::Result<(&'t [u8], &'t [u8])>> + 't>;

/// Looks up cards; fastest when the numbers asked for ascend.
pub struct CardCursor<'t> {
    table: Table,
    txn: &'t ReadTxn<'t>,
    rows: Option<Rows<'t>>,
    /// The number after the last row before `here`: nothing lies between.
    from: u64,
    here: Option<Row<'t>>,
}

impl std::fmt::Debug for CardCursor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CardCursor(from {})", self.from)
    }
}

impl<'t> CardCursor<'t> {
    /// A cursor of one transaction, over the table `cards`.
    #[must_use]
    pub fn new(table: Table, txn: &'t ReadTxn<'t>) -> Self {
        Self {
            table,
            txn,
            rows: None,
            from: 0,
            here: None,
        }
    }

    /// The card of a blob, if there is one.
    ///
    /// # Errors
    /// What LMDB raises.
    pub fn get(&mut self, blob: BlobId) -> Result<Option<&'t [u8]>> {
        let mut skipped = 0;
        if self.rows.is_none() || blob < self.from {
            self.place(blob)?;
        }
        loop {
            match self.here {
                Some((number, card)) if number == blob => return Ok(Some(card)),
                Some((number, _)) if number < blob => {
                    skipped += 1;
                    if skipped > SKIPPED_MAX {
                        self.place(blob)?;
                    } else {
                        self.step()?;
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    fn place(&mut self, blob: BlobId) -> Result<()> {
        let first = keys::blob(blob);
        let rows = self
            .table
            .range(self.txn, &(Bound::Included(&first[..]), Bound::Unbounded))?;
        self.rows = Some(Box::new(rows));
        self.here = None;
        self.step()?;
        self.from = blob;
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        if let Some((number, _)) = self.here {
            self.from = number.saturating_add(1);
        }
        self.here = match self.rows.as_mut().and_then(Iterator::next) {
            None => None,
            Some(row) => {
                let (key, card) = row?;
                keys::u64_at(key, 0).map(|number| (number, card))
            }
        };
        Ok(())
    }
}
