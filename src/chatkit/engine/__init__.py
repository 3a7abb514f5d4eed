"""Drivers that own tasks: the link to the provider, the outbox, one receiver a channel."""
