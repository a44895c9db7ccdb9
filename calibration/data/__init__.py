"""What a map is fitted from: trials of recordings, epochs made elsewhere, the embeddings of the pictures."""
