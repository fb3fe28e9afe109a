"""What a domain that sends mail has to publish in DNS, and whether it does. Only the command line looks there."""
