"""Who someone is: passwords, SASL exchanges, verified logins."""
