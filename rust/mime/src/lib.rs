//! ironpost-mime
