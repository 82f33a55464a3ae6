"""What is said to a device, whichever engine carries the bytes: frames, messages, retries, the client."""
