"""DNS for mail: dnspython on Trio, with a budget for each question."""
