"""What tests stand on: an in-memory message server, a real one, a clock that is moved by hand, builders of payloads."""
