"""The SMTP side: relays between mail servers that sign (dkimsigner) and, later, forward."""
