"""Silicon in graphene under a parked beam: kinetic Monte Carlo, its exact master equation, and HAADF rendering.

Sites are (n, m, s): r = n a1 + m a2 + s (a1 + a2) / 3 with |a1| = |a2| = 2.46 A and 60 degrees between them,
turned by the lattice angle and moved to its origin. A rate table is (term, 3): distance along the bond in A,
variance in A^2, amplitude in 1/s; a Gaussian of that mean and variance per term. A term of variance < 0 stands
for the Lorentzian 1 / ((4 |beam - C| / b)^2 + 1) times its amplitude.
"""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.random import exponential, normal, poisson, uniform

LATTICE = 2.46
BOND = LATTICE / math.sqrt(3.0)
# Unit vectors from a site with s = 0 to its neighbours 0, 1, 2, at angle 0; from s = 1 they point the other way.
BONDS_X = (math.sqrt(3.0) / 2.0, -math.sqrt(3.0) / 2.0, 0.0)
BONDS_Y = (0.5, 0.5, -1.0)
BLOCK = 64  # candidates of one task
SHELL_SITES = 19  # sites within three bonds of a site of the honeycomb: 1 + 3 + 6 + 9


@njit(cache=True, inline="always")
def pose_of(lattice):
    """(x, y, cos, sin) of a lattice (origin x, origin y, angle): its trigonometry, done once."""
    return lattice[0], lattice[1], math.cos(lattice[2]), math.sin(lattice[2])


@njit(cache=True, inline="always")
def site_position(n, m, s, pose):
    """x, y of a site in A, on a lattice of that pose."""
    x = LATTICE * (n + 0.5 * m + 0.5 * s)
    y = LATTICE * (math.sqrt(3.0) / 2.0 * m + math.sqrt(3.0) / 6.0 * s)
    return pose[0] + pose[2] * x - pose[3] * y, pose[1] + pose[3] * x + pose[2] * y


@njit(cache=True, inline="always")
def neighbour(n, m, s, i):
    """Neighbour i (0, 1, 2) of a site: always on the other sublattice."""
    sign = 1 if s == 1 else -1
    if i == 1:
        n += sign
    elif i == 2:
        m += sign
    return n, m, 1 - s


@njit(cache=True)
def bond_rates(n, m, s, pose, beam_x, beam_y, terms, out):
    """Hop rates to the three neighbours in 1/s, into out : (3,); returns their sum."""
    x, y = site_position(n, m, s, pose)
    beam_x -= x
    beam_y -= y
    sign = 1.0 if s == 0 else -1.0
    total = 0.0
    for i in range(3):
        ux = sign * (pose[2] * BONDS_X[i] - pose[3] * BONDS_Y[i])
        uy = sign * (pose[3] * BONDS_X[i] + pose[2] * BONDS_Y[i])
        rate = 0.0
        for k in range(terms.shape[0]):
            dx = beam_x - terms[k, 0] * ux
            dy = beam_y - terms[k, 0] * uy
            r2 = dx * dx + dy * dy
            if terms[k, 1] > 0.0:
                rate += terms[k, 2] * math.exp(-0.5 * r2 / terms[k, 1])
            elif terms[k, 1] < 0.0:
                rate += terms[k, 2] / (16.0 * r2 / (BOND * BOND) + 1.0)
        out[i] = rate
        total += rate
    return total


@njit(cache=True, parallel=True)
def hop(sites, lattices, terms, beams, dwells, currents, seeds, hops):
    """Kinetic Monte Carlo of one dwell for every candidate (Gillespie 1977, direct method).

    sites : (candidate, 3) int64, changed in place. lattices : (candidate, 3). terms : (candidate, term, 3).
    beams : (candidate, 2) A. dwells : (candidate,) s. currents : (candidate,) factors on every rate.
    seeds : (candidate,) uint64. hops : (candidate,) int64, filled with the number of hops.
    """
    candidates = sites.shape[0]
    for block in prange((candidates + BLOCK - 1) // BLOCK):
        # Scratch once a block: an allocation a candidate makes the threads wait for each other.
        stream = np.empty(1, np.uint64)
        rates = np.empty(3)
        for c in range(block * BLOCK, min(candidates, (block + 1) * BLOCK)):
            stream[0] = seeds[c]
            pose = pose_of(lattices[c])
            n, m, s = sites[c, 0], sites[c, 1], sites[c, 2]
            left = dwells[c]
            count = 0
            while True:
                total = currents[c] * bond_rates(n, m, s, pose, beams[c, 0], beams[c, 1], terms[c], rates)
                if total <= 0.0:
                    break
                left -= exponential(stream) / total
                if left < 0.0:
                    break
                pick = uniform(stream) * total / currents[c]
                i = 0
                while i < 2 and pick >= rates[i]:
                    pick -= rates[i]
                    i += 1
                n, m, s = neighbour(n, m, s, i)
                count += 1
            sites[c, 0], sites[c, 1], sites[c, 2] = n, m, s
            hops[c] = count


@njit(cache=True)
def _shells(site, found):
    """All sites within three bonds of `site`, into found : (SHELL_SITES, 3), nearest first."""
    found[0, 0], found[0, 1], found[0, 2] = site[0], site[1], site[2]
    count = 1
    begin = 0
    for _ in range(3):
        end = count
        for j in range(begin, end):
            for i in range(3):
                n, m, s = neighbour(found[j, 0], found[j, 1], found[j, 2], i)
                if _index(found, count, n, m, s) < 0:
                    found[count, 0], found[count, 1], found[count, 2] = n, m, s
                    count += 1
        begin = end
    return count


@njit(cache=True)
def _index(found, count, n, m, s):
    """Where a site stands among the first `count` rows of found, or -1."""
    for j in range(count):
        if found[j, 0] == n and found[j, 1] == m and found[j, 2] == s:
            return j
    return -1


@njit(cache=True, parallel=True)
def outcomes(sites, lattices, terms, beams, dwells, currents, out):
    """Exact probabilities of where a dwell ends, from the master equation on the sites within three bonds.

    Shapes as in `hop`; out : (candidate, 4) is filled with P(same site), P(neighbour 0, 1, 2). What leaves the
    three shells does not come back. Solved by uniformisation (Jensen 1953) to 1e-12.
    """
    for c in prange(sites.shape[0]):
        found = np.empty((SHELL_SITES, 3), np.int64)
        count = _shells(sites[c], found)
        pose = pose_of(lattices[c])
        rates = np.zeros((SHELL_SITES, 3))
        target = np.full((SHELL_SITES, 3), -1)
        fastest = 1e-12
        for j in range(count):
            n, m, s = found[j, 0], found[j, 1], found[j, 2]
            total = bond_rates(n, m, s, pose, beams[c, 0], beams[c, 1], terms[c], rates[j])
            fastest = max(fastest, total)
            for i in range(3):
                nn, mm, ss = neighbour(n, m, s, i)
                target[j, i] = _index(found, count, nn, mm, ss)
        lam = fastest * currents[c] * dwells[c]
        p = np.zeros(SHELL_SITES)
        p[0] = 1.0
        pieces = int(lam / 30.0) + 1  # exp(-30) is far from underflow
        for _ in range(pieces):
            p = _uniformised(p, rates, target, fastest, lam / pieces, count)
        for k in range(4):
            out[c, k] = p[k]


@njit(cache=True)
def _uniformised(p, rates, target, fastest, lam, count):
    """exp(Q t) applied to p, with lam = fastest * t."""
    weight = math.exp(-lam)
    result = p * weight
    covered = weight
    k = 0
    while covered < 1.0 - 1e-12 and k < 400:
        k += 1
        q = np.zeros_like(p)
        for j in range(count):
            stay = 1.0
            for i in range(3):
                share = rates[j, i] / fastest
                stay -= share
                if target[j, i] >= 0:
                    q[target[j, i]] += p[j] * share
            q[j] += p[j] * stay
        p = q
        weight *= lam / k
        covered += weight
        result += weight * p
    return result


@njit(cache=True, parallel=True)
def render(sites, lattices, shifts, views, peak, ratio, background, sigma, jitter, noisy, seeds, out):
    """HAADF images of graphene with one silicon per candidate, atoms at sub-pixel positions.

    sites, lattices : as in `hop`. shifts : (candidate, 2) A, the drift of the sample. views : (candidate, 6), pixel
    indices to A. peak : mean counts that one carbon adds at its centre; ratio : silicon over carbon;
    background : in carbons. sigma : probe standard deviation in A. jitter : standard deviation of the rows'
    displacement along the row in A. noisy : whether counts are Poisson. out : (candidate, y, x) float64.
    """
    rows, cols = out.shape[1], out.shape[2]
    reach = 4.5 * sigma
    for c in prange(out.shape[0]):
        stream = np.empty(1, np.uint64)
        stream[0] = seeds[c]
        v = views[c]
        det = v[0] * v[4] - v[1] * v[3]
        pose = pose_of(lattices[c])
        out[c] = background * peak
        offset = np.zeros(rows)
        if jitter > 0.0:
            for r in range(rows):
                offset[r] = jitter * normal(stream)
        # How far the sites can be from the silicon and still touch the image: the field's diagonal.
        far = math.hypot(v[0] * cols + v[1] * rows, v[3] * cols + v[4] * rows)
        far = max(far, math.hypot(v[0] * cols - v[1] * rows, v[3] * cols - v[4] * rows)) + reach + 5.0 * jitter
        cells = int(far / (LATTICE * 0.866)) + 2
        for dn in range(-cells, cells + 1):
            for dm in range(-cells, cells + 1):
                for s in range(2):
                    n, m = sites[c, 0] + dn, sites[c, 1] + dm
                    x, y = site_position(n, m, s, pose)
                    x += shifts[c, 0] - v[2]
                    y += shifts[c, 1] - v[5]
                    col = (v[4] * x - v[1] * y) / det
                    row = (v[0] * y - v[3] * x) / det
                    span_c = (reach + 5.0 * jitter) * math.hypot(v[4], v[1]) / abs(det)
                    span_r = (reach + 5.0 * jitter) * math.hypot(v[0], v[3]) / abs(det)
                    if col < -span_c or col > cols - 1 + span_c or row < -span_r or row > rows - 1 + span_r:
                        continue
                    silicon = dn == 0 and dm == 0 and s == sites[c, 2]
                    height = peak * (ratio if silicon else 1.0)
                    _add_atom(out[c], v, col, row, span_c, span_r, offset, height, sigma)
        if noisy:
            for r in range(rows):
                for k in range(cols):
                    out[c, r, k] = poisson(out[c, r, k], stream)


@njit(cache=True)
def _add_atom(image, v, col, row, span_c, span_r, offset, height, sigma):
    """Add a Gaussian of `height` at (col, row) to one image, each row displaced by its offset in A."""
    rows, cols = image.shape
    pitch = math.hypot(v[0], v[3])
    for r in range(max(0, math.ceil(row - span_r)), min(rows, math.floor(row + span_r) + 1)):
        for k in range(max(0, math.ceil(col - span_c)), min(cols, math.floor(col + span_c) + 1)):
            dk = k + offset[r] / pitch - col
            dr = r - row
            dx = v[0] * dk + v[1] * dr
            dy = v[3] * dk + v[4] * dr
            image[r, k] += height * math.exp(-0.5 * (dx * dx + dy * dy) / (sigma * sigma))
