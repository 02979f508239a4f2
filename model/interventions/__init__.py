"""What acts on a reading from outside: initial states and mitigations."""
