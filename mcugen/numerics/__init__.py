"""What an integer means: QKeras's float32 steps after a sum, and integer forms proved equal to them."""
