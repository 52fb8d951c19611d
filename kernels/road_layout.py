"""What each column of the road kernels' arrays holds, and the codes in them. All in metres, seconds and radians.

A point of the road has coordinates (s, n): distance along the centre line, and offset from it, positive to the left.
Traffic keeps right, so the ego vehicle drives at n < 0.
"""

# Centre line, one row a metre.
LINE_X, LINE_Y, LINE_HEADING, LINE_CURVATURE, LINE_Z, LINE_SLOPE = range(6)

# Cross-section: lanes each way, their width, half the median strip, paved shoulder, pavement beyond it, height of the
# guard rail and spacing of the street lamps (0: none), height of the hills, index of the place.
LANES, LANE_WIDTH, MEDIAN, SHOULDER, PAVEMENT, RAIL, LAMP_SPACING, RELIEF, PLACE = range(9)
PLACES = ("city", "suburb", "forest", "countryside", "highway", "desert")
FIELDS = PLACES.index("countryside")  # the place that has fields

# Objects, standing or moving: foot, yaw, size, kind, a number in [0, 1) that varies their looks.
S, X, Y, Z, YAW, LENGTH, WIDTH, HEIGHT, KIND, TINT = range(10)
NOTHING, BUILDING, HOUSE, TREE, CONIFER, SHRUB, POST, SIGN, LAMP, CAR, WALKER = range(11)
TRUCK = 2.4  # m, height from which a vehicle is a truck
# Street lamps: the s of the first at the left, those at the right are half a spacing further; height; m from the edge
# of the road to the post, and from the post back over the road to the light.
FIRST_LAMP, LAMP_HEIGHT, LAMP_BEYOND, LAMP_ARM = 12.0, 8.0, 0.6, 2.4

# Vehicles of a world: +1 with the ego vehicle or -1 against it, and the rest as above.
CAR_START, CAR_WAY, CAR_LANE, CAR_LENGTH, CAR_WIDTH, CAR_HEIGHT, CAR_SPEED, CAR_TINT = range(8)
# Pedestrians of a world: where they stand, where they go to across the road, their walk in m/s, and how near the ego
# vehicle is in m when they step out (0: never, they stroll along the road).
WALK_S, WALK_FROM, WALK_TO, WALK_SPEED, WALK_TRIGGER, WALK_TINT = range(6)

# Camera: position, yaw, pitch (up is positive), focal length and principal point in pixels.
CAM_X, CAM_Y, CAM_Z, CAM_YAW, CAM_PITCH, CAM_F, CAM_CX, CAM_CY = range(8)

# Classes of the mask, and their codes.
CLASSES = (
    "sky",
    "road",
    "marking",
    "pavement",
    "terrain",
    "building",
    "vegetation",
    "pole",
    "sign",
    "vehicle",
    "pedestrian",
    "barrier",
)
SKY, ROAD, MARKING, PAVED, TERRAIN, STRUCTURE, PLANT, POLE, PLATE, VEHICLE, PEDESTRIAN, BARRIER = range(len(CLASSES))
GROUND = 255  # while the ground is drawn; becomes road, marking, paved or terrain

# Faces of objects: four sides counted from the front to the left, top, turned to the camera, slopes of a roof; CABIN is
# added for the upper box of a car.
FRONT, LEFT, REAR, RIGHT, TOP, FACING, ROOF_LEFT, ROOF_RIGHT = range(8)
CABIN = 8

# Light of a candidate: linear colours, exposure included, so that 1 is a white sheet in full light.
SUN, SUN_RGB, SKY_RGB, ZENITH, HORIZON, GLOW = 0, 3, 6, 9, 12, 15
CLOUD, DISC, CLOUD_RGB = 18, 19, 20
FOG, FOG_START, FOG_FALLOFF, FOG_RGB = 23, 24, 25, 26
WET, PUDDLES, SNOW_COVER, RAIN, SNOW, LAMPS, LAMP_GAIN, WIND = range(29, 37)
LIGHT_COLUMNS = 37

HAZE = 0.0009  # 1/m, extinction of clear air, which the colours of the sky have in them
SIGHT = 320.0  # m, farthest object that is drawn

# How the road kernels are compiled: sums may be taken in any order; what is not finite stays so, as the sky's depth is.
FAST = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
