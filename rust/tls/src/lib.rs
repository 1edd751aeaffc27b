//! ironpost-tls
