"""What is still remembered: how much of the state at one moment comes from each token of the text before it."""
