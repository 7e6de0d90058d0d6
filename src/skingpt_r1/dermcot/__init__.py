"""DermCoT: from cases to a corpus of reasoning narratives. For research, not for diagnosis."""
