"""What the chaos tests share."""
