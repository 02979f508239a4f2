"""What pages share: charts, axes and marks, controls."""
