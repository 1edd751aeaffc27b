"""Mail to other servers: queue, retries, SMTP client, delivery reports."""
