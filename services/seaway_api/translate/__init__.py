"""Pure translation between Docker's JSON and Seaway's payloads."""
