"""Episodes: sessions retold with a title, a short content and keywords."""
