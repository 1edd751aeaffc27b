#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ironpost_fuzz::pop3_server(data));
