"""One file per question a modeller asks: uses sd/ and region/, and writes output folders."""
