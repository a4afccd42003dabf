"""What serves requests: each command changes records, or tells the other services that something changed."""
