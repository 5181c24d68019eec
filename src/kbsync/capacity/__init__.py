"""What a number of incidents asks of AWS: requests, cost, lag, and what gives way first. Pure."""
