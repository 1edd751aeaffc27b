//! ironpost-store
