"""Local servers that speak a provider's own protocol, with faults on demand; need the extra `emulators`.

They know nothing of chatkit's adapters: what they do is what the provider publishes and what its official
clients accept, so that an adapter and its emulator cannot be wrong together.
"""
