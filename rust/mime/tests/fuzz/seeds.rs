//! Where campaigns begin: small messages of each shape, and those of the corpora where they are at hand.

use super::support;

/// Larger messages of the corpora cost time and show nothing new.
const CORPUS_OCTETS_MAX: u64 = 4_096;
/// So many messages of the corpora are taken, evenly over all of them.
const CORPUS_MESSAGES_MAX: usize = 120;

const MESSAGES: &[&str] = &[
    "Subject: x\r\n\r\nbody\r\n",
    "From: \"A \\\"B\" <a@b.example>, c@d (comment)\r\nTo: g: e@f, \"h\" <i@j>;, undisclosed:;\r\nSender: <@x,@y:z@w>\r\n\
     Subject: =?utf-8?q?a=C3=A4?= =?utf-8?B?w6Q=?= Re: [x]\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000 (UTC)\r\n\
     Message-ID: <a@b>\r\nIn-Reply-To: <c@d>\r\nReferences: <e@f>\r\n <c@d>\r\n\r\n",
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n--a\r\n\r\none\r\n--a\r\n\
     Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>=E4&amp;<!-- x \
     --></p>\r\n--a--\r\nepilogue\r\n",
    "Content-Type: multipart/digest; boundary=\"a\"\r\n\r\n--a\r\n\r\nSubject: inner\r\n\r\nx\r\n--a\r\nContent-Type: \
     message/rfc822\r\n\r\nContent-Type: multipart/alternative; boundary=ab\r\n\r\n--ab\r\n\r\ny\r\n--ab--\r\n--a--\r\n",
    "Content-Type: text/plain; charset*=us-ascii'en'utf-7; name*0*=utf-8''%c3%a4; name*1=b; name*2*=%41\r\n\
     Content-Disposition: attachment; filename=\"a\\\"b\"\r\nContent-Language: de, en (x)\r\nContent-Transfer-Encoding: \
     base64\r\n\r\nK0FPUS0=\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp\nSubject: lf only\n\n\u{1b}$BF|K\\\u{1b}(B\n",
    "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a--\n",
];

/// All targets read messages.
pub fn messages() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = MESSAGES.iter().map(|message| message.as_bytes().to_vec()).collect();
    if let Some(folder) = support::corpora() {
        let small = |path: &std::path::PathBuf| path.metadata().is_ok_and(|found| found.len() <= CORPUS_OCTETS_MAX);
        let paths: Vec<_> = support::files(&folder).into_iter().filter(small).collect();
        let step = paths.len().div_ceil(CORPUS_MESSAGES_MAX).max(1);
        seeds.extend(paths.iter().step_by(step).filter_map(|path| std::fs::read(path).ok()));
    }
    seeds
}
