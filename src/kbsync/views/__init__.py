"""What people and programs are shown: plain values made from the ports, the same for every front."""
