"""What tests are made of: a virtual clock that also drives the event loop."""
