"""What happens while the amplifier runs: sources, time axis, filters, epochs, decoder, rendering, display."""
