"""The one engine that runs anything: plan -> one vmapped, resumable program -> a folder."""
