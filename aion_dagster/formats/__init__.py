"""COCO, YOLO, Pascal VOC and CSV, read and written from and to Arrow."""
