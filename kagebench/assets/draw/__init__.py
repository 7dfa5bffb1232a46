"""Code that draws the shipped art pack (`python -m kagebench.assets.draw --out DIR`)."""
