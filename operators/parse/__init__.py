"""From the formats of the world to rows of `messages` and `dead_letters`."""
