"""Where bytes come from and go to: object storage, the web, folders that the operator opened."""
