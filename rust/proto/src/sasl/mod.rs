//! SASL mechanisms as step functions (RFC 4422): no user look-up inside.
