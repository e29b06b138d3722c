"""What other services see: messages, outcomes, errors and references."""
