"""What Seaway's services say to each other: channels, payloads, ids, errors. Pure; imports nothing of ours."""
