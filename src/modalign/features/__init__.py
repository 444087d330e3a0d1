"""From raw items to features: encoders, how one is chosen and run, and the store that keeps what it gives."""
