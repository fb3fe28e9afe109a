"""Who can be authenticated, and what they may do."""
