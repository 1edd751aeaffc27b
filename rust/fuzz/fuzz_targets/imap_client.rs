#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ironpost_fuzz::imap_client(data));
