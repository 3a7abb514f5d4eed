"""What several providers share to reach their servers."""
