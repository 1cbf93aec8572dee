-- How many modes a distribution has. Of what was measured before it is not known until bifurcated recompute.
ALTER TABLE statistics ADD COLUMN modes REAL;
