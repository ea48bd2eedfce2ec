"""What persons decide about a loop: approvals, and steering it from outside."""
