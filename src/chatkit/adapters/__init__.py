"""Providers, one package each; `chatkit.connect` loads the one that is asked for."""
