"""Where results live: tables, manifests, table sets, ledger, locks."""
