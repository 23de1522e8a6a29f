"""Who answers heavy questions about pictures: one protocol, local or remote."""
