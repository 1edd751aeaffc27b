"""Sessions of the SMTP family: MX, submission, LMTP."""
