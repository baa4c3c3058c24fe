"""What all scenarios share: processes, transcripts, the store."""
