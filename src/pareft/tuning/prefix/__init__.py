"""The frozen prefix: what comes before all that is trained is computed once and kept on disk; later epochs start behind it."""
